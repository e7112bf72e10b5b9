"""rl_games (https://github.com/Denys88/rl_games), read and tested at version 1.6.5."""
