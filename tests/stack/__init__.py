# begin products tasks
"""The stack in containers, driven through the routes of the sample features."""
# end products tasks
