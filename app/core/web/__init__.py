"""HTTP: the Flask application, problems, bodies, ETags, rate limits, CORS, cache.

Knows neither callers nor resources: what needs them is passed in (`key_func` of the rate limits).
"""
