"""What runs in the programs' own environments: little more than what their documentation asks for. Nothing of
Newsstand's tests is imported there."""
