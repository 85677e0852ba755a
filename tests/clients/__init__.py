# begin products tasks
"""Clients generated from openapi.json, which call the routes of the sample features."""
# end products tasks
