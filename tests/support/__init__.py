"""What tests share: random networks and plans, second implementations, command-line runners."""
