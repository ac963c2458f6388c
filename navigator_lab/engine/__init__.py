"""The mover: settles steps, from the store or in a worker process.

It knows steps, actions and products; the name of no format or framework occurs in it.
"""
