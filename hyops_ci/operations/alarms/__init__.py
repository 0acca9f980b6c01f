"""What somebody has to do something about before the next incident: each module looks at one thing, and changes nothing."""
