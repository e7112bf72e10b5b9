"""Isaac Gym: isaacgymenvs' own Allegro-Kuka tasks as environments, on Python 3.8."""
