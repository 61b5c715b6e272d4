// The control of bench/ttrpc-section.ts: a server and a load of calls, as a user of ttrpc-go writes them.
package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/containerd/ttrpc"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const service = "kata.edge.bench.Echo"

func main() {
	if len(os.Args) != 3 {
		fail(fmt.Errorf("usage: %s serve|load SOCKET", os.Args[0]))
	}
	var err error
	if os.Args[1] == "serve" {
		err = serve(os.Args[2])
	} else {
		err = load(os.Args[2])
	}
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func serve(socket string) error {
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	server, err := ttrpc.NewServer()
	if err != nil {
		return err
	}
	source := make([]byte, 1<<20)
	server.RegisterService(service, &ttrpc.ServiceDesc{Methods: map[string]ttrpc.Method{
		"Echo": func(_ context.Context, unmarshal func(interface{}) error) (interface{}, error) {
			var request wrapperspb.BytesValue
			if err := unmarshal(&request); err != nil {
				return nil, err
			}
			return &request, nil
		},
		"Write": func(_ context.Context, unmarshal func(interface{}) error) (interface{}, error) {
			var request wrapperspb.BytesValue
			if err := unmarshal(&request); err != nil {
				return nil, err
			}
			return &emptypb.Empty{}, nil
		},
		"Read": func(_ context.Context, unmarshal func(interface{}) error) (interface{}, error) {
			var request wrapperspb.UInt32Value
			if err := unmarshal(&request); err != nil {
				return nil, err
			}
			return &wrapperspb.BytesValue{Value: source[:request.Value]}, nil
		},
	}})
	fmt.Println("ready")
	return server.Serve(context.Background(), listener)
}

// load answers each line `METHOD IN-FLIGHT BYTES MILLISECONDS` of its input with one of calls and seconds.
func load(socket string) error {
	connection, err := net.Dial("unix", socket)
	if err != nil {
		return err
	}
	client := ttrpc.NewClient(connection)
	fmt.Println("ready")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var method string
		var workers, size, ms int
		if _, err := fmt.Sscan(lines.Text(), &method, &workers, &size, &ms); err != nil {
			return err
		}
		calls, seconds, err := run(client, method, workers, size, time.Duration(ms)*time.Millisecond)
		if err != nil {
			return err
		}
		fmt.Println(calls, seconds)
	}
	return nil
}

func run(client *ttrpc.Client, method string, workers, size int, length time.Duration) (int64, float64, error) {
	var stop atomic.Bool
	var calls atomic.Int64
	var wait sync.WaitGroup
	failure := make(chan error, workers)
	since := time.Now()
	time.AfterFunc(length, func() { stop.Store(true) })
	for i := 0; i < workers; i++ {
		wait.Add(1)
		go func() {
			defer wait.Done()
			made := int64(0)
			for !stop.Load() {
				if err := call(client, method, size); err != nil {
					failure <- err
					return
				}
				made++
			}
			calls.Add(made)
		}()
	}
	wait.Wait()
	close(failure)
	return calls.Load(), time.Since(since).Seconds(), <-failure
}

var payload = make([]byte, 1<<20)

func call(client *ttrpc.Client, method string, size int) error {
	ctx := context.Background()
	switch method {
	case "Echo":
		response := &wrapperspb.BytesValue{}
		request := &wrapperspb.BytesValue{Value: payload[:size]}
		if err := client.Call(ctx, service, method, request, response); err != nil {
			return err
		}
		return checked(len(response.Value), size)
	case "Write":
		return client.Call(ctx, service, method, &wrapperspb.BytesValue{Value: payload[:size]}, &emptypb.Empty{})
	case "Read":
		response := &wrapperspb.BytesValue{}
		if err := client.Call(ctx, service, method, &wrapperspb.UInt32Value{Value: uint32(size)}, response); err != nil {
			return err
		}
		return checked(len(response.Value), size)
	}
	return fmt.Errorf("no method %s", method)
}

func checked(got, wanted int) error {
	if got != wanted {
		return fmt.Errorf("an answer of %d bytes where %d were asked for", got, wanted)
	}
	return nil
}
