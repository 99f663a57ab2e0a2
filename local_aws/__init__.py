"""An embedded AWS for development and tests ("the lab"): ministack plus faithful DynamoDB exports.

Start it with ``python3 -m local_aws --port N`` or from Python with :class:`local_aws.client.Lab`. It is a
development tool: the provider package never imports it. Importing this package needs the standard library only.
"""
