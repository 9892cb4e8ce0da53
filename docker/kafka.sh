#!/bin/bash
# The broker's scripts in the stand-in for apache/kafka: one file under three names.
case "${0##*/}" in
kafka-server-start.sh) main=kafka.Kafka ;;
kafka-storage.sh) main=kafka.tools.StorageTool ;;
kafka-topics.sh) main=org.apache.kafka.tools.TopicCommand ;;
esac
# shellcheck disable=SC2086 # options are words on purpose
exec java ${KAFKA_HEAP_OPTS:--Xmx512m} ${KAFKA_JVM_PERFORMANCE_OPTS:-} \
    -Dlog4j2.configurationFile=/opt/kafka/config/log4j2.yaml -cp '/opt/kafka/libs/*' "$main" "$@"
