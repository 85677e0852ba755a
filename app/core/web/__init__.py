"""HTTP: the Flask application, problems, bodies, ETags, rate limits, CORS."""
