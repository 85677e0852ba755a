"""Files: how uploads are stored, and how the records of CSV and NDJSON files are read.

A record is a dictionary that a schema can load. What a file means belongs to the feature.
"""
