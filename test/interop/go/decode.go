package main

import (
	"bufio"
	"encoding/binary"
	"io"

	"github.com/containerd/ttrpc"
	"google.golang.org/protobuf/proto"
)

// The types of frames whose data are envelopes.
const (
	typeRequest  = 1
	typeResponse = 2
)

/*
decode reads envelopes, each a byte for the frame's type, a little-endian u32 length and as many bytes, and writes a
verdict on each: a byte, 0 if ttrpc's decoder refuses it, else 1 and its fields. Strings and bytes are written as u32
length and bytes, lists as u32 count and items.

	request:  service, method, payload, timeout_nano as i64, list of metadata: key, value
	response: status code as i32, message, list of details: type_url, value; payload
*/
func decode(in io.Reader, out io.Writer) error {
	reader := bufio.NewReaderSize(in, 1<<16)
	writer := verdicts{bufio.NewWriterSize(out, 1<<16)}
	var head [5]byte
	for {
		// Whoever asks waits for what is said of all that was sent.
		if reader.Buffered() == 0 {
			if err := writer.Flush(); err != nil {
				return err
			}
		}
		if _, err := io.ReadFull(reader, head[:]); err == io.EOF {
			return writer.Flush()
		} else if err != nil {
			return err
		}
		data := make([]byte, binary.LittleEndian.Uint32(head[1:]))
		if _, err := io.ReadFull(reader, data); err != nil {
			return err
		}
		if head[0] == typeRequest {
			writer.request(data)
		} else if head[0] == typeResponse {
			writer.response(data)
		}
	}
}

type verdicts struct{ *bufio.Writer }

func (w verdicts) request(data []byte) {
	var request ttrpc.Request
	if proto.Unmarshal(data, &request) != nil {
		w.WriteByte(0)
		return
	}
	w.WriteByte(1)
	w.text(request.Service)
	w.text(request.Method)
	w.text(string(request.Payload))
	w.Write(binary.LittleEndian.AppendUint64(nil, uint64(request.TimeoutNano)))
	w.number(len(request.Metadata))
	for _, pair := range request.Metadata {
		w.text(pair.Key)
		w.text(pair.Value)
	}
}

func (w verdicts) response(data []byte) {
	var response ttrpc.Response
	if proto.Unmarshal(data, &response) != nil {
		w.WriteByte(0)
		return
	}
	w.WriteByte(1)
	w.number(int(response.GetStatus().GetCode()))
	w.text(response.GetStatus().GetMessage())
	w.number(len(response.GetStatus().GetDetails()))
	for _, detail := range response.GetStatus().GetDetails() {
		w.text(detail.TypeUrl)
		w.text(string(detail.Value))
	}
	w.text(string(response.Payload))
}

func (w verdicts) number(value int) {
	w.Write(binary.LittleEndian.AppendUint32(nil, uint32(value)))
}

func (w verdicts) text(value string) {
	w.number(len(value))
	w.WriteString(value)
}
