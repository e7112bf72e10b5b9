"""Allegro-Kuka tasks."""
