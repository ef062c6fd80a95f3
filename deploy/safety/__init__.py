"""Looks at model files that nobody vouches for, in a process that can do no harm."""
