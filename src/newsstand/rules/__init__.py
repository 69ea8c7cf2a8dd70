"""The rules by which Newsstand decides, as pure functions and values: they know no clock, network or database."""
