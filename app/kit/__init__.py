"""What every resource is built from. Knows no resource; may import only `app.extensions`."""
