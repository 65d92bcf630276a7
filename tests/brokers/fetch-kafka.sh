#!/bin/sh
# Brings the jars of Apache Kafka into target/kafka/lib, for the tests that need a real broker.
# Does nothing when they are there. Needs Maven; where it fetches from is Maven's own setting.
set -eu

version=4.1.0
root=$(cd "$(dirname "$0")/../.." && pwd)
target=${1:-$root/target/kafka}
lib=$target/lib

if [ -f "$lib/.complete-$version" ]; then
    exit 0
fi

mkdir -p "$lib"
cat >"$target/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>pointd.tests</groupId>
  <artifactId>kafka</artifactId>
  <version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>$version</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId>
      <artifactId>slf4j-simple</artifactId>
      <version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
POM

mvn -q -B -f "$target/pom.xml" dependency:copy-dependencies -DoutputDirectory="$lib" -DincludeScope=runtime
touch "$lib/.complete-$version"
