package sinktest

import "testing"

func TestMap(t *testing.T) { Run(t, &MapTarget{}) }
