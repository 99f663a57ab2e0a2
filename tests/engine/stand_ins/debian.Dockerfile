# Debian as debootstrap made it, with this machine's certificates for pip: between it and PyPI there may be a proxy with one of its own.
ARG TREE
FROM ${TREE}
COPY ca-certificates.crt /etc/ssl/machine.crt
RUN printf '[global]\ncert = /etc/ssl/machine.crt\ndisable-pip-version-check = true\n' > /etc/pip.conf
