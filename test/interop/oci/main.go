// Reads OCI documents as Go programs do, for tests: encoding/json into runtime-spec's types.
//
// A request on stdin is a kind (one byte: 0 Spec, 1 Process, 2 LinuxResources), a length (4 bytes, big endian) and the document.
// The answer on stdout is a verdict (one byte), a length and a text: the document as Go writes it again, or why it was refused.
package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"
	"log"
	"os"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

const (
	accepted = iota
	// JSON, but not of these types.
	mistyped
	notJSON
)

func main() {
	in := bufio.NewReader(os.Stdin)
	out := bufio.NewWriter(os.Stdout)
	for {
		var head [5]byte
		if _, err := io.ReadFull(in, head[:]); err == io.EOF {
			return
		} else if err != nil {
			log.Fatal(err)
		}
		document := make([]byte, binary.BigEndian.Uint32(head[1:]))
		if _, err := io.ReadFull(in, document); err != nil {
			log.Fatal(err)
		}
		verdict, text := read(head[0], document)
		head[0] = verdict
		binary.BigEndian.PutUint32(head[1:], uint32(len(text)))
		out.Write(head[:])
		out.Write(text)
		if err := out.Flush(); err != nil {
			log.Fatal(err)
		}
	}
}

func read(kind byte, document []byte) (byte, []byte) {
	var value any
	switch kind {
	case 0:
		value = &specs.Spec{}
	case 1:
		value = &specs.Process{}
	case 2:
		value = &specs.LinuxResources{}
	default:
		log.Fatalf("kind %d", kind)
	}
	if err := json.Unmarshal(document, value); err != nil {
		if json.Valid(document) {
			return mistyped, []byte(err.Error())
		}
		return notJSON, []byte(err.Error())
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		log.Fatal(err)
	}
	return accepted, text.Bytes()
}
