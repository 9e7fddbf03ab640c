"""Reads histories, judges them and draws the report; imports nothing of the rest of the project."""
