"""Feedback: what people say of incidents, and which later ones are alike."""
