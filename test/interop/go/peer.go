package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sort"
	"strings"
	"sync/atomic"
	"time"

	"github.com/containerd/ttrpc"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// The service that both peers serve; test/interop/peer.ts describes its methods.
const service = "kata.edge.interop.Peer"

// Calls of Sleep whose caller gave up or whose deadline passed.
var abandoned atomic.Uint32

func serve(socket string) error {
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	server, err := ttrpc.NewServer()
	if err != nil {
		return err
	}
	server.RegisterService(service, &ttrpc.ServiceDesc{Methods: methods, Streams: streams})
	fmt.Println("ready")
	return server.Serve(context.Background(), listener)
}

// unary makes a Method of a function on messages.
func unary[Req any, Res proto.Message, P interface {
	*Req
	proto.Message
}](handle func(context.Context, P) (Res, error)) ttrpc.Method {
	return func(ctx context.Context, unmarshal func(interface{}) error) (interface{}, error) {
		request := P(new(Req))
		if err := unmarshal(request); err != nil {
			return nil, err
		}
		response, err := handle(ctx, request)
		if err != nil {
			return nil, err
		}
		return response, nil
	}
}

var methods = map[string]ttrpc.Method{
	"Echo": unary(func(_ context.Context, request *wrapperspb.BytesValue) (*wrapperspb.BytesValue, error) {
		return request, nil
	}),
	"Make": unary(func(_ context.Context, request *wrapperspb.UInt32Value) (*wrapperspb.BytesValue, error) {
		return &wrapperspb.BytesValue{Value: pattern(int(request.Value))}, nil
	}),
	"Sleep": unary(func(ctx context.Context, request *wrapperspb.UInt32Value) (*emptypb.Empty, error) {
		select {
		case <-time.After(time.Duration(request.Value) * time.Millisecond):
			return &emptypb.Empty{}, nil
		case <-ctx.Done():
			abandoned.Add(1)
			return nil, ctx.Err()
		}
	}),
	"Abandoned": unary(func(context.Context, *emptypb.Empty) (*wrapperspb.UInt32Value, error) {
		return &wrapperspb.UInt32Value{Value: abandoned.Load()}, nil
	}),
	"TimeLeft": unary(func(ctx context.Context, _ *emptypb.Empty) (*wrapperspb.Int64Value, error) {
		deadline, ok := ctx.Deadline()
		if !ok {
			return &wrapperspb.Int64Value{}, nil
		}
		return &wrapperspb.Int64Value{Value: time.Until(deadline).Milliseconds()}, nil
	}),
	"Metadata": unary(func(ctx context.Context, _ *emptypb.Empty) (*wrapperspb.StringValue, error) {
		metadata, _ := ttrpc.GetMetadata(ctx)
		lines := []string{}
		for key, values := range metadata {
			lines = append(lines, key+"="+strings.Join(values, ","))
		}
		sort.Strings(lines)
		return &wrapperspb.StringValue{Value: strings.Join(lines, "\n")}, nil
	}),
	"Fail": unary(func(_ context.Context, request *statuspb.Status) (*emptypb.Empty, error) {
		return nil, status.ErrorProto(request)
	}),
	"FailPlainly": unary(func(_ context.Context, request *wrapperspb.StringValue) (*emptypb.Empty, error) {
		if err, ok := plainErrors[request.Value]; ok {
			return nil, err
		}
		return nil, errors.New(request.Value)
	}),
}

// Errors without a status, which ttrpc gives a code of its own.
var plainErrors = map[string]error{
	"not exist":   os.ErrNotExist,
	"exist":       os.ErrExist,
	"permission":  os.ErrPermission,
	"EOF":         io.EOF,
	"closed pipe": io.ErrClosedPipe,
	"canceled":    context.Canceled,
}

var streams = map[string]ttrpc.Stream{
	"Count": {StreamingServer: true, Handler: func(_ context.Context, stream ttrpc.StreamServer) (interface{}, error) {
		var request wrapperspb.UInt32Value
		if err := stream.RecvMsg(&request); err != nil {
			return nil, err
		}
		for i := uint32(0); i < request.Value; i++ {
			if err := stream.SendMsg(&wrapperspb.UInt32Value{Value: i}); err != nil {
				return nil, err
			}
		}
		return nil, nil
	}},
	"Sum": {StreamingClient: true, Handler: func(_ context.Context, stream ttrpc.StreamServer) (interface{}, error) {
		sum := uint32(0)
		for {
			var message wrapperspb.UInt32Value
			err := stream.RecvMsg(&message)
			if errors.Is(err, io.EOF) {
				return &wrapperspb.UInt32Value{Value: sum}, nil
			}
			if err != nil {
				return nil, err
			}
			sum += message.Value
		}
	}},
	"Chat": {StreamingClient: true, StreamingServer: true, Handler: func(_ context.Context, stream ttrpc.StreamServer) (interface{}, error) {
		for {
			var message wrapperspb.BytesValue
			err := stream.RecvMsg(&message)
			if errors.Is(err, io.EOF) {
				return nil, nil
			}
			if err != nil {
				return nil, err
			}
			if err := stream.SendMsg(&message); err != nil {
				return nil, err
			}
		}
	}},
	"CountAndFail": {StreamingServer: true, Handler: func(_ context.Context, stream ttrpc.StreamServer) (interface{}, error) {
		var request statuspb.Status
		if err := stream.RecvMsg(&request); err != nil {
			return nil, err
		}
		for i := uint32(0); i < 3; i++ {
			if err := stream.SendMsg(&wrapperspb.UInt32Value{Value: i}); err != nil {
				return nil, err
			}
		}
		return nil, status.ErrorProto(&request)
	}},
}

// pattern is n bytes that show where they belong.
func pattern(n int) []byte {
	bytes := make([]byte, n)
	for i := range bytes {
		bytes[i] = byte(i * 31 >> 3)
	}
	return bytes
}
