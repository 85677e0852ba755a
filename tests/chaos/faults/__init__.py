"""The faults that `make chaos` injects, by what fails."""
