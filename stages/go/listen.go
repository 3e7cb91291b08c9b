package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
)

const (
	unixPrefix = "unix:"
	// sockaddr_un has room for 108 bytes, one of them the NUL at the end.
	maxSocketPath = 107
)

func checkBind(bind string) error {
	if path, isUnix := strings.CutPrefix(bind, unixPrefix); isUnix {
		if path == "" {
			return usagef("address %q: must be HOST:PORT or unix:PATH", bind)
		}
		if len(path) > maxSocketPath {
			return usagef("address %s: %d bytes, and a socket's path has at most %d; take a shorter one",
				bind, len(path), maxSocketPath)
		}
		return nil
	}
	host, port, err := net.SplitHostPort(bind)
	if _, portErr := strconv.ParseUint(port, 10, 16); err != nil || portErr != nil || host == "" {
		return usagef("address %q: must be HOST:PORT or unix:PATH", bind)
	}
	return nil
}

func listen(bind string) (net.Listener, error) {
	network, address := "tcp", bind
	if path, isUnix := strings.CutPrefix(bind, unixPrefix); isUnix {
		network, address = "unix", path
		if err := removeDeadSocket(path); err != nil {
			return nil, err
		}
	}
	listener, err := net.Listen(network, address)
	if err != nil {
		var number syscall.Errno
		if errors.As(err, &number) {
			err = number
		}
		return nil, fmt.Errorf("can't bind %s: %w; take another address", bind, err)
	}
	return listener, nil
}

// removeDeadSocket removes the socket that a server has left behind when it was killed.
func removeDeadSocket(path string) error {
	status, err := os.Lstat(path)
	if err != nil || status.Mode().Type() != fs.ModeSocket {
		return nil // nothing to remove, and listening will say what is wrong
	}
	connection, err := net.Dial("unix", path)
	if err == nil {
		_ = connection.Close()
		return fmt.Errorf("can't bind unix:%s: another server is listening there; take another address", path)
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		_ = os.Remove(path)
	}
	return nil
}

// addressOf returns the address that clients use: bind, with the port that was taken.
func addressOf(bind string, bound net.Addr) string {
	tcp, isTCP := bound.(*net.TCPAddr)
	if !isTCP {
		return bind
	}
	host := bind[:strings.LastIndexByte(bind, ':')]
	return fmt.Sprintf("%s:%d", host, tcp.Port)
}
