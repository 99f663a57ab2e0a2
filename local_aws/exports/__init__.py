"""DynamoDB exports as AWS makes them: request rules, contents at a point in time, files and manifests, life cycle.

Behaviour follows measured facts: probes of the live service (2026-10), genuine exports (2024, 2026), tests of other
projects that pass against AWS, the botocore model and the Developer Guide. Whatever none of them says is marked in
the code with ``ASSUMPTION``; whatever they leave open is a switch in :mod:`local_aws.settings`.
"""
