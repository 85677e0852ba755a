"""Users: their accounts, and what admins do with them."""
