"""Tasks over a MuJoCo model, on either MuJoCo engine."""
