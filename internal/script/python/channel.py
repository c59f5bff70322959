"""The one socket of an execution: frames of four bytes of length and JSON."""
import struct
import threading

import codec


class Closed(Exception):
    """The other side has closed the socket: there is nothing left to do."""


class Channel:
    """Sends and receives frames. Calls are made one after the other."""

    def __init__(self, sock, max_send, max_receive):
        self._sock = sock
        self._max_send = max_send
        self._max_receive = max_receive
        self._sending = threading.Lock()
        self._calling = threading.Lock()
        self._calls = 0

    def send(self, message):
        """Sends one frame; threads may send at once."""
        raw = codec.encode(message, self._max_send)
        if len(raw) > self._max_send:
            raise codec.CodecError(f"the message has {len(raw)} bytes, the limit is {self._max_send}")
        with self._sending:
            self._sock.sendall(struct.pack(">I", len(raw)) + raw)

    def receive(self):
        """Gives the next frame."""
        size, = struct.unpack(">I", self._exactly(4))
        if size > self._max_receive:
            raise Closed(f"a frame of {size} bytes")
        return codec.decode(self._exactly(size))

    def _exactly(self, size):
        data = bytearray()
        while len(data) < size:
            part = self._sock.recv(min(size - len(data), 1 << 20))
            if not part:
                raise Closed()
            data += part
        return bytes(data)

    def call(self, message):
        """Asks and waits for the answer."""
        with self._calling:
            self._calls += 1
            message["n"] = self._calls
            self.send(message)
            return self.receive()
