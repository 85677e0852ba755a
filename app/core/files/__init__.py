"""Files: uploads and how CSV and NDJSON are read."""
