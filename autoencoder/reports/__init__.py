"""Reports: everything that only reads detections."""
