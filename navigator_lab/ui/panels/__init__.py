"""What the sections of the dashboard show, as plain data. Pure: nothing is run and no widget known."""
