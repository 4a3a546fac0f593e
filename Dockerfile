# memtwin with ngspice (library and program, with the KLU solver) and a Verilog-A compiler.
#
#   docker build -t memtwin .
#   docker run --rm -v "$PWD:/data" memtwin run demo --out run
FROM debian:trixie-slim

RUN apt-get update \
 && apt-get install -y --no-install-recommends libngspice0 ngspice python3 python3-venv \
 && rm -rf /var/lib/apt/lists/*
COPY . /opt/memtwin
RUN python3 -m venv /opt/venv \
 && extra=$([ "$(uname -m)" = x86_64 ] && echo '[osdi]' || true) \
 && /opt/venv/bin/pip install --no-cache-dir -c /opt/memtwin/constraints.txt "/opt/memtwin$extra" \
 && rm -rf /opt/memtwin
ENV PATH=/opt/venv/bin:$PATH MEMTWIN_DATA=/data/memtwin-data OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
WORKDIR /data
ENTRYPOINT ["memtwin"]
CMD ["--help"]
