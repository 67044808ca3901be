"""What an adversary may see of a device, and who was a member: types only."""
