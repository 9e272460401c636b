"""Real services in containers: a catalogue, what starts them, and tests of protocols."""
