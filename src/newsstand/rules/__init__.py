"""What is decided, by values alone: these modules know no clock, network or database."""
