"""Rules: what keeps an incident from ringing."""
