# The page in a container, on the CPU. How to build and run it: docs/hosting.md.
FROM python:3.12-slim

ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    GRADIO_SERVER_NAME=0.0.0.0 \
    GRADIO_SERVER_PORT=7860 \
    HOME=/tmp

# pip takes PyTorch without CUDA where PIP_EXTRA_INDEX_URL names the place that PyTorch's own page names for it.
ARG PIP_EXTRA_INDEX_URL=
WORKDIR /app
COPY requirements.txt requirements-serve.lock ./
COPY checkpoints ./checkpoints
# Without PyTorch, where the network has a graph for ONNX Runtime.
RUN if ls checkpoints/*/graph.onnx; then python -m pip install --require-hashes -r requirements-serve.lock; \
    else python -m pip install -r requirements.txt; fi

COPY LICENSE app.py ./
COPY lesion_demo ./lesion_demo

# No name and no home: all that it writes goes to /tmp.
USER 10001:10001
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://localhost:' + os.environ['GRADIO_SERVER_PORT'], timeout=4)"]
CMD ["python", "app.py"]
