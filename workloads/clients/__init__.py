"""The clients, one file a database, and what they have in common."""
