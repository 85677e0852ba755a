"""Clients generated from openapi.json, which call the service."""
