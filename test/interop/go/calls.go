package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/containerd/ttrpc"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// What a check may take.
const patience = 20 * time.Second

// Largest data of a frame, and what the envelopes of Echo take of it at most.
const (
	frameMax = 4 << 20
	envelope = 64
)

var checks = map[string]func(context.Context, *ttrpc.Client) error{
	"echo of many sizes":                      echoSizes,
	"calls at the same time":                  atOnce,
	"a message of 4 MiB":                      oversize,
	"an answer of 4 MiB":                      oversizeAnswer,
	"a deadline is told":                      deadlineTold,
	"a deadline passes":                       deadlinePasses,
	"a deadline that has passed already":      deadlinePassed,
	"giving up leaves the connection usable":  givingUp,
	"metadata":                                metadata,
	"a status with code, message and details": failure,
	"unknown service and method":              unknown,
	"a request that is no such message":       malformed,
	"stream from the server":                  serverStream,
	"stream from the server, empty":           emptyServerStream,
	"stream to the server":                    clientStream,
	"stream both ways":                        chat,
	"stream both ways, large messages":        largeChat,
	"streams at the same time, beside calls":  manyChats,
	"a stream that is taken late":             lateReceiver,
	"a stream that is given up":               abandonedStream,
	"a stream with a deadline":                streamDeadline,
	"a stream that fails":                     streamFails,
	"unknown stream method":                   unknownStream,
}

func withClient(socket string, check func(context.Context, *ttrpc.Client) error) error {
	connection, err := net.Dial("unix", socket)
	if err != nil {
		return err
	}
	client := ttrpc.NewClient(connection, ttrpc.WithUnaryClientInterceptor(withTimeout))
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return check(ctx, client)
}

// call makes a call without a deadline, which ctx would add: the check's own ends the wait.
func call(ctx context.Context, client *ttrpc.Client, method string, request, response proto.Message) error {
	done := make(chan error, 1)
	go func() { done <- client.Call(context.Background(), service, method, request, response) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%s: no answer within %v", method, patience)
	}
}

func echo(ctx context.Context, client *ttrpc.Client, value []byte) error {
	response := &wrapperspb.BytesValue{}
	if err := call(ctx, client, "Echo", &wrapperspb.BytesValue{Value: value}, response); err != nil {
		return err
	}
	if !bytes.Equal(response.Value, value) {
		return fmt.Errorf("echo of %d bytes differs", len(value))
	}
	return nil
}

func echoSizes(ctx context.Context, client *ttrpc.Client) error {
	for _, size := range []int{0, 1, 100, 127, 128, 4095, 16383, 16384, 32 << 10, 256 << 10, 300000, 1 << 20, frameMax - envelope} {
		if err := echo(ctx, client, pattern(size)); err != nil {
			return fmt.Errorf("%d bytes: %w", size, err)
		}
	}
	return nil
}

func atOnce(ctx context.Context, client *ttrpc.Client) error {
	const workers, rounds = 64, 50
	var wait sync.WaitGroup
	failures := make(chan error, workers)
	for worker := 0; worker < workers; worker++ {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for round := 0; round < rounds; round++ {
				value := append([]byte(fmt.Sprintf("%d/%d", worker, round)), pattern(worker*round)...)
				if err := echo(ctx, client, value); err != nil {
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

func oversize(ctx context.Context, client *ttrpc.Client) error {
	err := echo(ctx, client, pattern(frameMax))
	if err := wantCode(err, codes.ResourceExhausted); err != nil {
		return err
	}
	return echo(ctx, client, pattern(100))
}

func oversizeAnswer(ctx context.Context, client *ttrpc.Client) error {
	response := &wrapperspb.BytesValue{}
	err := call(ctx, client, "Make", &wrapperspb.UInt32Value{Value: frameMax}, response)
	if err := wantCode(err, codes.ResourceExhausted); err != nil {
		return err
	}
	return echo(ctx, client, pattern(100))
}

func deadlineTold(_ context.Context, client *ttrpc.Client) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	left := &wrapperspb.Int64Value{}
	if err := client.Call(ctx, service, "TimeLeft", &emptypb.Empty{}, left); err != nil {
		return err
	}
	if left.Value <= 0 || left.Value > patience.Milliseconds() {
		return fmt.Errorf("%d ms are left of %v", left.Value, patience)
	}
	if err := client.Call(context.Background(), service, "TimeLeft", &emptypb.Empty{}, left); err != nil {
		return err
	}
	if left.Value != 0 {
		return fmt.Errorf("%d ms are left where there is no deadline", left.Value)
	}
	return nil
}

// deadlinePasses waits for the server's own word that it gave up, beside the client's.
func deadlinePasses(ctx context.Context, client *ttrpc.Client) error {
	before, err := count(ctx, client)
	if err != nil {
		return err
	}
	short, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	request := &wrapperspb.UInt32Value{Value: uint32(patience.Milliseconds())}
	err = client.Call(short, service, "Sleep", request, &emptypb.Empty{})
	if !errors.Is(err, context.DeadlineExceeded) && status.Code(err) != codes.DeadlineExceeded {
		return fmt.Errorf("after the deadline: %v", err)
	}
	for ctx.Err() == nil {
		after, err := count(ctx, client)
		if err != nil {
			return err
		}
		if after == before+1 {
			return nil
		}
		time.Sleep(5 * time.Millisecond)
	}
	return errors.New("the server went on after the deadline")
}

func count(ctx context.Context, client *ttrpc.Client) (uint32, error) {
	response := &wrapperspb.UInt32Value{}
	err := call(ctx, client, "Abandoned", &emptypb.Empty{}, response)
	return response.Value, err
}

// deadlinePassed sends a negative timeout_nano, as a caller does that was held up, and waits for the server's word.
func deadlinePassed(_ context.Context, client *ttrpc.Client) error {
	ctx := context.WithValue(context.Background(), timeoutKey{}, -time.Second)
	request := &wrapperspb.UInt32Value{Value: uint32(patience.Milliseconds())}
	err := client.Call(ctx, service, "Sleep", request, &emptypb.Empty{})
	return wantCode(err, codes.DeadlineExceeded)
}

// What goes out as timeout_nano instead of what is left of the context's deadline.
type timeoutKey struct{}

func withTimeout(ctx context.Context, req *ttrpc.Request, resp *ttrpc.Response, _ *ttrpc.UnaryClientInfo, invoke ttrpc.Invoker) error {
	if timeout, ok := ctx.Value(timeoutKey{}).(time.Duration); ok {
		req.TimeoutNano = timeout.Nanoseconds()
	}
	return invoke(ctx, req, resp)
}

func givingUp(ctx context.Context, client *ttrpc.Client) error {
	gone, cancel := context.WithCancel(context.Background())
	time.AfterFunc(20*time.Millisecond, cancel)
	err := client.Call(gone, service, "Sleep", &wrapperspb.UInt32Value{Value: 200}, &emptypb.Empty{})
	if !errors.Is(err, context.Canceled) {
		return fmt.Errorf("a call given up: %v", err)
	}
	// Its answer comes late and is nobody's.
	if err := call(ctx, client, "Sleep", &wrapperspb.UInt32Value{Value: 300}, &emptypb.Empty{}); err != nil {
		return err
	}
	return echo(ctx, client, pattern(100))
}

func metadata(_ context.Context, client *ttrpc.Client) error {
	sent := ttrpc.MD{}
	sent.Set("One", "1")
	sent.Set("umlaut", "größe")
	sent.Set("empty", "")
	ctx := ttrpc.WithMetadata(context.Background(), sent)
	response := &wrapperspb.StringValue{}
	if err := client.Call(ctx, service, "Metadata", &emptypb.Empty{}, response); err != nil {
		return err
	}
	if wanted := "empty=\none=1\numlaut=größe"; response.Value != wanted {
		return fmt.Errorf("metadata %q, wanted %q", response.Value, wanted)
	}
	return nil
}

func failure(ctx context.Context, client *ttrpc.Client) error {
	detail, err := anypb.New(&wrapperspb.StringValue{Value: "a detail"})
	if err != nil {
		return err
	}
	for code := codes.Canceled; code <= codes.Unauthenticated; code++ {
		wanted := &statuspb.Status{Code: int32(code), Message: "größer " + code.String(), Details: []*anypb.Any{detail}}
		err := call(ctx, client, "Fail", wanted, &emptypb.Empty{})
		if got := status.Convert(err).Proto(); !proto.Equal(got, wanted) {
			return fmt.Errorf("status %v, wanted %v", got, wanted)
		}
	}
	return nil
}

func unknown(_ context.Context, client *ttrpc.Client) error {
	err := client.Call(context.Background(), service, "Nothing", &emptypb.Empty{}, &emptypb.Empty{})
	if err := wantText(err, codes.Unimplemented, "method Nothing"); err != nil {
		return err
	}
	err = client.Call(context.Background(), "no.such.Service", "Echo", &emptypb.Empty{}, &emptypb.Empty{})
	return wantText(err, codes.Unimplemented, "service no.such.Service")
}

func malformed(ctx context.Context, client *ttrpc.Client) error {
	// An unknown field whose length goes beyond the message, kept by the encoder as it is.
	request := &wrapperspb.BytesValue{}
	request.ProtoReflect().SetUnknown([]byte{0x0a, 0x7f})
	err := call(ctx, client, "Echo", request, &wrapperspb.BytesValue{})
	if code := status.Code(err); code != codes.InvalidArgument && code != codes.Internal {
		return fmt.Errorf("%v", err)
	}
	return echo(ctx, client, pattern(100))
}

func wantCode(err error, code codes.Code) error {
	if status.Code(err) == code {
		return nil
	}
	// The client's own refusal wraps its status.
	var oversized *ttrpc.OversizedMessageErr
	if code == codes.ResourceExhausted && errors.As(err, &oversized) {
		return nil
	}
	return fmt.Errorf("%v, wanted %v", err, code)
}

func wantText(err error, code codes.Code, text string) error {
	if status.Code(err) != code || !strings.Contains(status.Convert(err).Message(), text) {
		return fmt.Errorf("%v, wanted %v %s", err, code, text)
	}
	return nil
}
