"""`make rehearse-upgrade`: upgrade an altered clone of each release to HEAD."""
