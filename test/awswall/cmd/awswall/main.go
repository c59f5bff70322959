// Command awswall stands in front of a moto server and refuses what AWS refuses;
// see package awswall.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/parry-security/parry/test/awswall"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "awswall:", err)
		os.Exit(1)
	}
}

func run() error {
	upstream := flag.String("upstream", "http://127.0.0.1:5000", "address of moto")
	listen := flag.String("listen", "127.0.0.1:5001", "loopback address to listen on")
	logFile := flag.String("log", "", "file for the request log, as JSON lines")
	root := flag.String("root", "AKIAROOTROOTROOTROOT:root-secret:111111111111", "root keys: key:secret:account, separated by commas")
	flag.Parse()
	cfg := awswall.Config{Upstream: *upstream, Listen: *listen, LogFile: *logFile, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	for _, text := range strings.Split(*root, ",") {
		parts := strings.Split(text, ":")
		if len(parts) != 3 {
			return fmt.Errorf("root key %q is not key:secret:account", text)
		}
		cfg.RootKeys = append(cfg.RootKeys, awswall.RootKey{AccessKeyID: parts[0], Secret: parts[1], Account: parts[2]})
	}
	wall, err := awswall.New(cfg)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := wall.Start(ctx); err != nil {
		return err
	}
	fmt.Println(wall.URL())
	<-ctx.Done()
	return wall.Stop(context.Background())
}
