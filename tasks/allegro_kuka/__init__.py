"""Dexterous manipulation with a KUKA arm and an Allegro hand: the Allegro-Kuka task family."""
