/* tls_stream_inside -- what a context knows of its streams: how large they are. */
#pragma once

/* A multiple of 64, as its pool wants it. */
#define TLS_STREAM_SIZE 192u
