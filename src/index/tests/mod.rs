mod sorted;
