package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/containerd/ttrpc"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

var (
	fromServer = &ttrpc.StreamDesc{StreamingServer: true}
	toServer   = &ttrpc.StreamDesc{StreamingClient: true}
	bothWays   = &ttrpc.StreamDesc{StreamingClient: true, StreamingServer: true}
)

func serverStream(ctx context.Context, client *ttrpc.Client) error {
	return counted(ctx, client, 1000)
}

func emptyServerStream(ctx context.Context, client *ttrpc.Client) error {
	return counted(ctx, client, 0)
}

func counted(ctx context.Context, client *ttrpc.Client, count uint32) error {
	stream, err := client.NewStream(ctx, fromServer, service, "Count", &wrapperspb.UInt32Value{Value: count})
	if err != nil {
		return err
	}
	for i := uint32(0); i < count; i++ {
		var message wrapperspb.UInt32Value
		if err := stream.RecvMsg(&message); err != nil {
			return fmt.Errorf("message %d: %w", i, err)
		}
		if message.Value != i {
			return fmt.Errorf("message %d says %d", i, message.Value)
		}
	}
	return wantEnd(stream)
}

func wantEnd(stream ttrpc.ClientStream) error {
	if err := stream.RecvMsg(&wrapperspb.BytesValue{}); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%v where the stream was to end", err)
	}
	return nil
}

func clientStream(ctx context.Context, client *ttrpc.Client) error {
	for _, count := range []uint32{0, 1, 1000} {
		stream, err := client.NewStream(ctx, toServer, service, "Sum", nil)
		if err != nil {
			return err
		}
		wanted := uint32(0)
		for i := uint32(1); i <= count; i++ {
			wanted += i
			if err := stream.SendMsg(&wrapperspb.UInt32Value{Value: i}); err != nil {
				return err
			}
		}
		if err := stream.CloseSend(); err != nil {
			return err
		}
		var sum wrapperspb.UInt32Value
		if err := stream.RecvMsg(&sum); err != nil {
			return fmt.Errorf("sum of %d: %w", count, err)
		}
		if sum.Value != wanted {
			return fmt.Errorf("sum %d, wanted %d", sum.Value, wanted)
		}
	}
	return nil
}

func chat(ctx context.Context, client *ttrpc.Client) error {
	return chatOf(ctx, client, []int{1, 100, 0, 128, 16384}, 20)
}

func largeChat(ctx context.Context, client *ttrpc.Client) error {
	return chatOf(ctx, client, []int{1 << 20, frameMax - envelope}, 2)
}

// chatOf sends and awaits one message after the other.
func chatOf(ctx context.Context, client *ttrpc.Client, sizes []int, rounds int) error {
	stream, err := client.NewStream(ctx, bothWays, service, "Chat", nil)
	if err != nil {
		return err
	}
	for round := 0; round < rounds; round++ {
		for _, size := range sizes {
			sent := &wrapperspb.BytesValue{Value: pattern(size)}
			if err := stream.SendMsg(sent); err != nil {
				return err
			}
			var got wrapperspb.BytesValue
			if err := stream.RecvMsg(&got); err != nil {
				return fmt.Errorf("%d bytes: %w", size, err)
			}
			if !bytes.Equal(got.Value, sent.Value) {
				return fmt.Errorf("%d bytes came back as %d others", size, len(got.Value))
			}
		}
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	return wantEnd(stream)
}

func manyChats(ctx context.Context, client *ttrpc.Client) error {
	const workers = 16
	var wait sync.WaitGroup
	failures := make(chan error, 2*workers)
	for worker := 0; worker < workers; worker++ {
		wait.Add(2)
		go func() {
			defer wait.Done()
			if err := chatOf(ctx, client, []int{worker, 1000 * worker}, 20); err != nil {
				failures <- err
			}
		}()
		go func() {
			defer wait.Done()
			for i := 0; i < 20; i++ {
				if err := echo(ctx, client, pattern(worker*i)); err != nil {
					failures <- err
					return
				}
			}
		}()
	}
	wait.Wait()
	close(failures)
	return <-failures
}

// lateReceiver lets the server run into flow control, and receives everything nevertheless.
func lateReceiver(ctx context.Context, client *ttrpc.Client) error {
	const count = 200_000
	stream, err := client.NewStream(ctx, fromServer, service, "Count", &wrapperspb.UInt32Value{Value: count})
	if err != nil {
		return err
	}
	time.Sleep(300 * time.Millisecond)
	for i := uint32(0); i < count; i++ {
		var message wrapperspb.UInt32Value
		if err := stream.RecvMsg(&message); err != nil {
			return fmt.Errorf("message %d: %w", i, err)
		}
		if message.Value != i {
			return fmt.Errorf("message %d says %d", i, message.Value)
		}
	}
	return wantEnd(stream)
}

// abandonedStream never sends its last message; the connection's end has to be enough.
func abandonedStream(ctx context.Context, client *ttrpc.Client) error {
	for i := 0; i < 100; i++ {
		stream, err := client.NewStream(ctx, bothWays, service, "Chat", nil)
		if err != nil {
			return err
		}
		if err := stream.SendMsg(&wrapperspb.BytesValue{Value: pattern(i)}); err != nil {
			return err
		}
		if err := stream.RecvMsg(&wrapperspb.BytesValue{}); err != nil {
			return err
		}
	}
	return echo(ctx, client, pattern(100))
}

// streamDeadline is kept by the client alone: ttrpc-go does not send a stream's deadline.
func streamDeadline(ctx context.Context, client *ttrpc.Client) error {
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	stream, err := client.NewStream(short, bothWays, service, "Chat", nil)
	if err != nil {
		return err
	}
	if err := stream.RecvMsg(&wrapperspb.BytesValue{}); !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%v after the deadline", err)
	}
	return echo(ctx, client, pattern(100))
}

func streamFails(ctx context.Context, client *ttrpc.Client) error {
	wanted := &statuspb.Status{Code: int32(codes.DataLoss), Message: "after three"}
	stream, err := client.NewStream(ctx, fromServer, service, "CountAndFail", wanted)
	if err != nil {
		return err
	}
	for i := uint32(0); i < 3; i++ {
		var message wrapperspb.UInt32Value
		if err := stream.RecvMsg(&message); err != nil {
			return err
		}
	}
	err = stream.RecvMsg(&wrapperspb.UInt32Value{})
	if got := status.Convert(err).Proto(); !proto.Equal(got, wanted) {
		return fmt.Errorf("%v, wanted %v", err, wanted)
	}
	return echo(ctx, client, pattern(100))
}

func unknownStream(ctx context.Context, client *ttrpc.Client) error {
	stream, err := client.NewStream(ctx, bothWays, service, "Nothing", nil)
	if err != nil {
		return err
	}
	if err := wantText(stream.RecvMsg(&wrapperspb.BytesValue{}), codes.Unimplemented, "method Nothing"); err != nil {
		return err
	}
	return echo(ctx, client, pattern(100))
}
